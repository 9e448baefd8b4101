//! What a node author imports: write a node once, serve it on every wire
