"""
What stands behind steward.Recorder: a queue, the thread that sends what is in it, and the spool on disk.

    recorder   what the assistant holds
    sender     the thread that owns all the rest
    core       both put together, and put together anew after a fork
    intake     the queue, and how the thread is asked
    commands   what it is asked
    waiters    who waits for it
    tally      what became of the records
    numbers    their numbers, by which the server knows what has not come
    batches    interactions to requests, and answers to what became of each
    spool      what waits on disk, segment by segment
    segment    one file of it
    rejected   what was refused for good, for people to look at
    ends       fork, exit and SIGTERM
    inventory  the spool as the operator sees it

Nothing here is ever locked by the caller's thread: it appends to a deque, and asks by way of a SimpleQueue, which a
signal handler may use too.
"""
