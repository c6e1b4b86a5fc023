"""What a check found."""


class Failure(Exception):
    """A command of a document that does not work."""
