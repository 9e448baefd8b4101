//! The #[node] attribute and the Outputs derive
