"""How keenkite-tiny was trained. Not part of the installed package."""
