//! Composed bodies that were put together by hand, and their contract with metadata. spec: nnrp-wire 4.7, 7.4

use crate::body::{ComposedBody, InlineTensor, PlacedBody, check_result, check_submit};
use crate::error::WireError;
use crate::message::{Composed, ResultBody, SubmitBody};
use crate::metadata::{FrameSubmitMetadata, ResultPushMetadata};
use crate::rules::Rules;

impl FrameSubmitMetadata {
    /// Whether a body is what this says of it.
    ///
    /// # Errors
    /// The first of the contract's steps that fails.
    pub fn check_body(&self, body: &ComposedBody, rules: &Rules) -> Result<(), WireError> {
        self.read_body(body, rules).map(|_| ())
    }

    fn read_body(&self, body: &ComposedBody, rules: &Rules) -> Result<InlineTensor, WireError> {
        let placed = PlacedBody::built(body, None);
        check_submit(self, &placed, rules).map_err(WireError::unplaced)
    }
}

impl ResultPushMetadata {
    /// Whether a body is what this says of it, coverage included.
    ///
    /// # Errors
    /// The first of the contract's steps that fails.
    pub fn check_body(&self, body: &ComposedBody, rules: &Rules) -> Result<(), WireError> {
        self.read_body(body, rules).map(|_| ())
    }

    fn read_body(&self, body: &ComposedBody, rules: &Rules) -> Result<InlineTensor, WireError> {
        let placed = PlacedBody::built(body, None);
        check_result(self, &placed, rules).map_err(WireError::unplaced)
    }
}

impl SubmitBody {
    /// A body that was put together by hand.
    ///
    /// # Errors
    /// As [`FrameSubmitMetadata::check_body`].
    pub fn composed(
        metadata: &FrameSubmitMetadata,
        body: ComposedBody,
        rules: &Rules,
    ) -> Result<Self, WireError> {
        let tensor = metadata.read_body(&body, rules)?;
        Ok(Self::Composed(Composed { body, tensor }))
    }
}

impl ResultBody {
    /// A body that was put together by hand.
    ///
    /// # Errors
    /// As [`ResultPushMetadata::check_body`].
    pub fn composed(
        metadata: &ResultPushMetadata,
        body: ComposedBody,
        rules: &Rules,
    ) -> Result<Self, WireError> {
        let tensor = metadata.read_body(&body, rules)?;
        Ok(Self::Composed(Composed { body, tensor }))
    }
}
