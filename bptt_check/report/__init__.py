"""What a run leaves: a journal of records, and the pages made from it. Prints, never computes."""
