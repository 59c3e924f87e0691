"""The daemon of Steward: records what an assistant learns, keeps personal data out of it, and gives it back."""

import os

# Core writes lines of its own between those of the log, and what they say is also raised. Read when grpc is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
