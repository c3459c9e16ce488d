"""Where usage rests: the tables of events and windows, the views over them, and the one client that reaches them."""
