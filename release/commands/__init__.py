"""What the commands do that publish nothing: from their arguments to what they answer."""
