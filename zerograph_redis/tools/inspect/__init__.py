"""Looking at what is stored: operations that never change a thread, nor prolong it."""
