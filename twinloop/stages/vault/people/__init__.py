"""Who is who: faces told apart, ids that last, and what the user says of people."""
