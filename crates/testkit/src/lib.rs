//! Harnesses for real peers, recorded exchanges and impaired links
