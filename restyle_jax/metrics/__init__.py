"""How good a generator is: distances between sets of pictures in the features of a network, and the length of its paths. And how
well features tell people apart."""
