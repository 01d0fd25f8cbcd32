"""What is trained and measured for the models of avatars that come with the package."""
