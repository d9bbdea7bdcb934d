"""What does this text classifier give away about the people it was trained on?"""

__version__ = "0.2.0"
