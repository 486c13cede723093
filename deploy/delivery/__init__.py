"""What delivers an environment: roles, bucket, image repository, and the workflows that use them."""
