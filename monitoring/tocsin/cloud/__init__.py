"""The only part that talks to AWS: deploying the committed templates, and reading metrics and alarm states back."""
