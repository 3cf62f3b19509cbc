"""Other devices than this one: how they are reached, what they are held to, what goes there and comes back."""
