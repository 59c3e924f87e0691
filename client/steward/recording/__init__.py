"""
What stands behind steward.Recorder: a queue, the thread that sends what is in it, and the spool on disk.

    recorder   what the assistant holds
    sender     the thread that owns all the rest
    batches    interactions to requests, and answers to what became of each
    spool      what waits on disk, segment by segment
    segment    one file of it
    ends       fork, exit and SIGTERM

Nothing here is ever locked by the caller's thread: it appends to a deque, and asks by way of a SimpleQueue, which a
signal handler may use too.
"""
