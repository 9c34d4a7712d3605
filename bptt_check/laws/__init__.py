"""What follows from the equations and can be tested as a law of its own: two sides of each, both computed."""
