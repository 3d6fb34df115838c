"""What a capture leaves on disk: journal, losses and session notes, and how they are verified and rebuilt."""
