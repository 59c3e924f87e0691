"""The daemon of Steward: records what an assistant learns, keeps personal data out of it, and gives it back."""
