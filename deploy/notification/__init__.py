"""Daily notifications: a schedule queues what is due, a generator writes it out per user, an API reads it."""
