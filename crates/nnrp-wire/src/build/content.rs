//! What submits and results may hold beside a tensor. spec: nnrp-wire 4, 6, 7.5, 7.6

use super::tensor::Inlined;
use crate::body::{
    ComposedBody, ExtensionFrame, ExtensionFrames, InlineObject, ObjectReference, TypedPayload,
    TypedPayloads,
};
use crate::error::{Category, WireError};
use crate::message::Composed;
use crate::numbers::{ObjectKind, PayloadKinds};

/// Payloads, references, objects, extension frames, in the order in which they were given.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) payloads: Vec<TypedPayload>,
    pub(super) references: Vec<ObjectReference>,
    pub(super) objects: Vec<InlineObject>,
    pub(super) extensions: Vec<ExtensionFrame>,
    pub(super) declared: PayloadKinds,
    /// Whether there were to be payloads.
    pub(super) is_payload_wanted: bool,
}

impl Content {
    /// The kinds that metadata declares.
    pub(super) fn kinds(&self, has_tensor: bool) -> PayloadKinds {
        let payloads = self.payloads.iter().map(|payload| payload.kind.bit());
        let mut kinds = payloads.fold(self.declared, PayloadKinds::union);
        kinds.set(PayloadKinds::TENSOR, has_tensor);
        kinds
    }

    pub(super) fn check_payloads(&self) -> Result<(), WireError> {
        if self.is_payload_wanted && self.payloads.is_empty() {
            return Err(WireError::new(Category::NoFrames, "payloads").found(0));
        }
        Ok(())
    }

    /// References in the order that readers want, each object once.
    pub(super) fn sort_references(&mut self) -> Result<(), WireError> {
        self.references.sort_unstable();
        let pairs = self.references.windows(2);
        match pairs.into_iter().find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(pair) => Err(about(Category::DuplicateObject, pair[0].kind)),
        }
    }

    /// Objects of a tensor come from the tensor.
    pub(super) fn check_objects(&self) -> Result<(), WireError> {
        let is_standard = |object: &&InlineObject| is_tensor_object(object.kind);
        match self.objects.iter().find(is_standard) {
            None => Ok(()),
            Some(object) => Err(about(Category::WrongKind, object.kind)),
        }
    }

    /// References to parts of a tensor need its metadata.
    pub(super) fn check_without_tensor(&self) -> Result<(), WireError> {
        let mut references = self.references.iter();
        match references.find(|reference| is_tensor_object(reference.kind)) {
            None => Ok(()),
            Some(reference) => Err(about(Category::TensorContentWithoutTensor, reference.kind)),
        }
    }

    /// Whether there are no objects of any sort.
    pub(super) fn is_bare(&self) -> bool {
        self.references.is_empty() && self.objects.is_empty() && self.extensions.is_empty()
    }

    /// A flat body has room for a tensor and nothing else (Q15).
    pub(super) fn check_flat(&self) -> Result<(), WireError> {
        if self.is_bare() {
            return Ok(());
        }
        Err(self.without_frames())
    }

    pub(super) fn without_frames(&self) -> WireError {
        let objects = self.references.len() + self.objects.len() + self.extensions.len();
        let error = WireError::new(Category::NoFrames, "objects without a payload");
        error.found(objects as u64).limit(0)
    }

    /// Back to back.
    pub(super) fn take_payloads(&mut self) -> Result<TypedPayloads, WireError> {
        TypedPayloads::new(std::mem::take(&mut self.payloads))
    }

    pub(super) fn into_composed(
        self,
        typed: TypedPayloads,
        inlined: Inlined,
    ) -> Result<Composed, WireError> {
        let body = ComposedBody {
            inline_objects: inlined.objects(self.objects),
            references: self.references,
            typed,
            extensions: ExtensionFrames::new(self.extensions)?,
        };
        Ok(Composed {
            body,
            tensor: inlined.tensor,
        })
    }
}

const fn is_tensor_object(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::CameraBlock | ObjectKind::TileIndexBlock | ObjectKind::TensorSectionTable
    )
}

pub(super) fn about(category: Category, kind: ObjectKind) -> WireError {
    WireError::new(category, kind.name()).found(kind.number().into())
}
