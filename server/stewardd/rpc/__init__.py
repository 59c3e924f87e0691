"""The border: gRPC on one side, values on the other."""
