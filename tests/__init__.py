"""Tests of Steward: a real server, a real file, the real client."""
