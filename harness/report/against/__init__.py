"""Holds our numbers against the ones the paper published; README.md beside this file says where they come from."""
