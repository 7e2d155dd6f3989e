"""A message in words: titles for a lock screen and the text below them."""
