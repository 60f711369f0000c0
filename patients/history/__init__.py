"""What is known of a patient's health: what it holds, who wrote it, who was told."""
