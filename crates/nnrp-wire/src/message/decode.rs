//! From packets to messages.

use bytes::Bytes;

use super::{
    CachePut, ClientHello, Composed, ErrorReport, FrameSubmit, Message, ResultBody, ResultPush,
    ServerHelloAck, SessionMigrate, SessionMigrateAck, SessionPatch, SessionPatchAck, SubmitBody,
    TransportProbe,
};
use crate::body::{ComposedBody, FlatBody, PlacedBody, View, check_result, check_submit};
use crate::error::{Category, WireError};
use crate::extension::ControlExtension;
use crate::field::Fixed;
use crate::header::{Header, VERSION_MAJOR};
use crate::metadata::{
    ClientHelloMetadata, FlowUpdateMetadata, FrameSubmitMetadata, ProfilePatch, ResultPushMetadata,
    ServerHelloAckMetadata, SessionMigrateMetadata, SessionPatchAckMetadata, SessionPatchMetadata,
};
use crate::numbers::{MessageType, PayloadKinds};
use crate::packet::Packet;
use crate::rules::{DecodeOptions, Rules};

impl Message {
    /// Reads the bytes of exactly one packet.
    ///
    /// # Errors
    /// As [`Packet::decode`] and [`Self::decode`].
    pub fn decode_bytes(
        bytes: Bytes,
        options: &DecodeOptions<'_>,
    ) -> Result<(Header, Self), WireError> {
        Self::from_bytes(&bytes, options)
    }

    /// As [`Self::decode_bytes`], for a caller who keeps the bytes. A message without payloads does not share them.
    ///
    /// # Errors
    /// As [`Packet::decode`] and [`Self::decode`].
    pub fn from_bytes(
        bytes: &Bytes,
        options: &DecodeOptions<'_>,
    ) -> Result<(Header, Self), WireError> {
        let header = Packet::decode_header(bytes)?;
        let content = View::new(bytes, 0);
        let (metadata, body) = content.split(Header::BYTES + header.meta_len as usize);
        let metadata = metadata.rest(Header::BYTES as u64);
        let reader = Reader {
            header: &header,
            metadata,
            body,
            options,
        };
        reader.message()
    }

    /// Reads a packet. Payloads are slices of it; nothing is copied.
    ///
    /// # Errors
    /// The first check that fails, in the specification's order; offsets count from the packet's first byte.
    pub fn decode(packet: &Packet, options: &DecodeOptions<'_>) -> Result<Self, WireError> {
        let reader = Reader {
            header: packet.header(),
            metadata: View::new(packet.metadata(), Header::BYTES),
            body: View::new(packet.body(), packet.body_at()),
            options,
        };
        reader.message().map(|(_, message)| message)
    }
}

struct Reader<'r> {
    header: &'r Header,
    metadata: View<'r>,
    body: View<'r>,
    options: &'r DecodeOptions<'r>,
}

impl<'r> Reader<'r> {
    #[inline]
    fn message(&self) -> Result<(Header, Message), WireError> {
        self.check_version()?;
        // Put together in each arm, so that small messages are not moved as if they were large ones.
        let read = |message| Ok((*self.header, message));
        match self.header.message_type {
            MessageType::ClientHello => read(Message::ClientHello(self.client_hello()?)),
            MessageType::ServerHelloAck => read(Message::ServerHelloAck(self.server_hello_ack()?)),
            MessageType::SessionPatch => {
                let metadata: SessionPatchMetadata = self.metadata()?;
                let field = ("profile_patch_bytes", 32);
                let profile = self.profile(field, metadata.profile_patch_bytes)?;
                read(Message::SessionPatch(SessionPatch { metadata, profile }))
            }
            MessageType::SessionPatchAck => {
                let metadata: SessionPatchAckMetadata = self.metadata()?;
                let field = ("profile_patch_ack_bytes", 44);
                let profile = self.profile(field, metadata.profile_patch_ack_bytes)?;
                read(Message::SessionPatchAck(SessionPatchAck {
                    metadata,
                    profile,
                }))
            }
            MessageType::Close => {
                self.without_content(self.metadata)?;
                read(Message::Close(self.body()))
            }
            MessageType::Error => read(Message::Error(self.error()?)),
            MessageType::FrameSubmit => read(Message::FrameSubmit(self.frame_submit()?)),
            MessageType::FrameCancel => {
                self.header_only().and_then(|()| read(Message::FrameCancel))
            }
            MessageType::ResultPush => read(Message::ResultPush(self.result_push()?)),
            MessageType::ResultDrop => self.header_only().and_then(|()| read(Message::ResultDrop)),
            MessageType::CachePut => read(Message::CachePut(self.cache_put()?)),
            MessageType::CacheAck => read(Message::CacheAck(self.without_body()?)),
            MessageType::CacheInvalidate => read(Message::CacheInvalidate(self.without_body()?)),
            MessageType::FlowUpdate => read(Message::FlowUpdate(self.flow_update()?)),
            MessageType::ResultHint => read(Message::ResultHint(self.without_body()?)),
            MessageType::TransportProbe => read(Message::TransportProbe(self.transport_probe()?)),
            MessageType::TransportProbeAck => {
                read(Message::TransportProbeAck(self.without_body()?))
            }
            MessageType::SessionMigrate => read(Message::SessionMigrate(self.session_migrate()?)),
            MessageType::SessionMigrateAck => read(Message::SessionMigrateAck(SessionMigrateAck {
                metadata: self.metadata()?,
                body: self.body(),
            })),
            MessageType::Ping => self.header_only().and_then(|()| read(Message::Ping)),
            MessageType::Pong => self.header_only().and_then(|()| read(Message::Pong)),
        }
    }

    #[inline]
    fn check_version(&self) -> Result<(), WireError> {
        let version = self.header.version_major;
        if version == VERSION_MAJOR || self.rules().any_version {
            return Ok(());
        }
        let error = WireError::new(Category::UnsupportedVersion, "version_major").at(4);
        Err(error
            .found(u64::from(version))
            .limit(u64::from(VERSION_MAJOR)))
    }

    const fn rules(&self) -> &Rules {
        &self.options.rules
    }

    fn body(&self) -> Bytes {
        self.body.to_bytes()
    }

    #[inline]
    fn metadata<T: Fixed>(&self) -> Result<T, WireError> {
        let name = "metadata";
        let metadata = T::read_whole(&self.metadata, Category::MetadataLengthMismatch, name)
            .and_then(|metadata| metadata.check_reserved(self.rules()).map(|()| metadata));
        metadata.map_err(|error| error.moved(Header::BYTES))
    }

    #[inline]
    fn without_content(&self, content: View<'r>) -> Result<(), WireError> {
        if content.is_empty() || self.rules().content_where_none {
            return Ok(());
        }
        let error = content.error(Category::UnexpectedContent, "content");
        Err(error.found(content.bytes_u64()).limit(0))
    }

    #[inline]
    fn header_only(&self) -> Result<(), WireError> {
        self.without_content(self.metadata)?;
        self.without_content(self.body)
    }

    #[inline]
    fn without_body<T: Fixed>(&self) -> Result<T, WireError> {
        let metadata = self.metadata()?;
        self.without_content(self.body)?;
        Ok(metadata)
    }

    fn client_hello(&self) -> Result<ClientHello, WireError> {
        let metadata: ClientHelloMetadata = self.metadata()?;
        let body = self.body;
        let (auth_bytes, body_bytes) = (u64::from(metadata.auth_bytes), body.bytes_u64());
        let mismatch = |what, at, found: u32, limit| {
            let error = WireError::new(Category::HelloBodyLengthMismatch, what);
            let error = error.at(Header::BYTES + at);
            Err(error.found(u64::from(found)).limit(limit))
        };
        let Some(block_bytes) = body_bytes.checked_sub(auth_bytes) else {
            return mismatch("auth_bytes", 56, metadata.auth_bytes, body_bytes);
        };
        if u64::from(metadata.control_extension_bytes) != block_bytes {
            let found = metadata.control_extension_bytes;
            return mismatch("control_extension_bytes", 60, found, block_bytes);
        }
        let block = body.part(0..block_bytes).unwrap_or(body);
        Ok(ClientHello {
            metadata,
            extensions: ControlExtension::decode_block(&block, self.options)?,
            auth: body.rest(block_bytes).to_bytes(),
        })
    }

    fn server_hello_ack(&self) -> Result<ServerHelloAck, WireError> {
        let metadata: ServerHelloAckMetadata = self.metadata()?;
        let body = self.body;
        let block_bytes = u64::from(metadata.control_extension_bytes);
        let block = body.part(0..block_bytes).ok_or_else(|| {
            let what = "control_extension_bytes";
            let error = WireError::new(Category::HelloBodyLengthMismatch, what);
            let error = error.at(Header::BYTES + 72);
            error.found(block_bytes).limit(body.bytes_u64())
        })?;
        Ok(ServerHelloAck {
            metadata,
            extensions: ControlExtension::decode_block(&block, self.options)?,
            payload: body.rest(block_bytes).to_bytes(),
        })
    }

    /// The block in the body, as long as this field says.
    fn profile(
        &self,
        (what, at): (&'static str, usize),
        declared: u32,
    ) -> Result<Option<ProfilePatch>, WireError> {
        let profile = ProfilePatch::decode_body(&self.body, declared);
        profile.map_err(|error| match error.what {
            "body" => error.moved(self.body.at()),
            _ => WireError { what, ..error }.at(Header::BYTES + at),
        })
    }

    fn error(&self) -> Result<ErrorReport, WireError> {
        let report = ErrorReport {
            metadata: self.metadata()?,
            diagnostic: self.body(),
        };
        let declared = report.metadata.diagnostic_bytes;
        self.declared_length("diagnostic_bytes", 28, declared)?;
        Ok(report)
    }

    fn cache_put(&self) -> Result<CachePut, WireError> {
        let put = CachePut {
            metadata: self.metadata()?,
            object: self.body(),
        };
        self.declared_length("object_bytes", 20, put.metadata.object_bytes)?;
        Ok(put)
    }

    /// What the reference does not compare (Q9).
    fn declared_length(
        &self,
        what: &'static str,
        at: usize,
        declared: u32,
    ) -> Result<(), WireError> {
        let body_bytes = self.body.bytes_u64();
        if self.rules().declared_lengths || u64::from(declared) == body_bytes {
            return Ok(());
        }
        let error = WireError::new(Category::DeclaredLengthMismatch, what).at(Header::BYTES + at);
        Err(error.found(u64::from(declared)).limit(body_bytes))
    }

    #[inline]
    fn flow_update(&self) -> Result<FlowUpdateMetadata, WireError> {
        let update: FlowUpdateMetadata = self.without_body()?;
        update.check().map_err(|error| error.moved(Header::BYTES))?;
        if !self.rules().flow_scope {
            update.check_session(self.header.session_id)?;
        }
        Ok(update)
    }

    fn transport_probe(&self) -> Result<TransportProbe, WireError> {
        let probe = TransportProbe {
            metadata: self.metadata()?,
            payload: self.body(),
        };
        let declared = u64::from(probe.metadata.probe_payload_bytes);
        if declared != probe.payload.len() as u64 {
            let what = "probe_payload_bytes";
            let error = WireError::new(Category::ProbePayloadLengthMismatch, what);
            let error = error.at(Header::BYTES + 4);
            return Err(error.found(declared).limit(probe.payload.len() as u64));
        }
        Ok(probe)
    }

    fn session_migrate(&self) -> Result<SessionMigrate, WireError> {
        // Where it was is checked before where it is to be is looked at. spec: nnrp-wire 2.11
        let is_whole = self.metadata.len() == SessionMigrateMetadata::BYTES;
        if is_whole && self.metadata.starts_with(&[0; 4]) {
            let error = WireError::new(Category::RequiredValueMissing, "old_transport_id");
            return Err(error.at(Header::BYTES).found(0));
        }
        let migrate = SessionMigrate {
            metadata: self.metadata()?,
            body: self.body(),
        };
        let checked = migrate.metadata.check();
        checked.map_err(|error| error.moved(Header::BYTES))?;
        Ok(migrate)
    }

    fn frame_submit(&self) -> Result<FrameSubmit, WireError> {
        let metadata: FrameSubmitMetadata = self.metadata()?;
        let in_metadata = |error: WireError| error.moved(Header::BYTES);
        if !self.rules().any_frame_class && metadata.frame_class.known().is_none() {
            let error = WireError::new(Category::UnknownEnumValue, "frame_class").at(12);
            let found = u64::from(metadata.frame_class.0);
            return Err(in_metadata(error.found(found).limit(3)));
        }
        metadata.check().map_err(in_metadata)?;
        let body = self.body;
        if !metadata.has_composed_body() {
            let body = FlatBody::decode_submit(&metadata, &body, self.rules())?;
            return Ok(FrameSubmit {
                metadata,
                body: SubmitBody::Flat(body),
            });
        }
        let (body, at) = ComposedBody::decode(&body, self.options)?;
        let placed = PlacedBody::received(&body, at);
        let tensor = check_submit(&metadata, &placed, self.rules())?;
        placed.check_no_tensor()?;
        Ok(FrameSubmit {
            metadata,
            body: SubmitBody::Composed(Composed { body, tensor }),
        })
    }

    fn result_push(&self) -> Result<ResultPush, WireError> {
        let metadata: ResultPushMetadata = self.metadata()?;
        let checked = metadata.check();
        let checked = checked.and_then(|()| metadata.check_reuse(self.rules()));
        checked.map_err(|error| error.moved(Header::BYTES))?;
        let body = self.result_body(&metadata)?;
        Ok(ResultPush { metadata, body })
    }

    fn result_body(&self, metadata: &ResultPushMetadata) -> Result<ResultBody, WireError> {
        let body = self.body;
        let kinds = metadata.payload_kind_bitmap;
        if metadata.has_composed_body() {
            let has_tensor = kinds.contains(PayloadKinds::TENSOR);
            if body.is_empty() && metadata.payload_frame_count == 0 && !has_tensor {
                return Ok(ResultBody::Empty);
            }
            return self.composed_result(metadata, &body);
        }
        if kinds.is_empty() {
            if !body.is_empty() && !self.rules().body_of_no_kind {
                let error = body.error(Category::UnexpectedContent, "body");
                return Err(error.found(body.bytes_u64()).limit(0));
            }
            return Ok(ResultBody::Empty);
        }
        let in_metadata = |error: WireError| error.moved(Header::BYTES);
        let flat = FlatBody::decode_result(metadata, &body, self.rules()).and_then(|flat| {
            metadata
                .check_coverage()
                .map_err(in_metadata)
                .map(|()| flat)
        });
        match flat {
            // Without a field that says so, only the failure tells (Q15).
            Err(error) if self.options.composed_tensor_results => {
                self.composed_result(metadata, &body).map_err(|_| error)
            }
            flat => flat.map(ResultBody::Flat),
        }
    }

    fn composed_result(
        &self,
        metadata: &ResultPushMetadata,
        body: &View<'_>,
    ) -> Result<ResultBody, WireError> {
        let (body, at) = ComposedBody::decode(body, self.options)?;
        let placed = PlacedBody::received(&body, at);
        let tensor = check_result(metadata, &placed, self.rules())?;
        placed.check_no_tensor()?;
        Ok(ResultBody::Composed(Composed { body, tensor }))
    }
}
