"""What is true: values, the model of a dag, and the one function that changes it. No I/O, no clock, no threads."""
