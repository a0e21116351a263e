//! Proofs of who somebody is: passwords, tokens, and the brakes against guessing. **No SQL, no HTTP.**

pub mod crypt;
pub mod password;
pub mod policy;
pub mod throttle;
pub mod token;
