"""Words that every part of Millrace shares: numbers, time, ids, errors, limits."""
