"""The Lambda functions of the notification system."""
