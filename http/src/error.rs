//! Why a message is refused: `Reason`, one for each site, and `Rejection`, with the status to answer.

/// A message is refused, and its connection closes after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The status to answer the client with.
    pub status: u16,
    /// What was wrong; a metric label.
    pub reason: Reason,
}

impl Rejection {
    /// The same finding in a message of a backend: the client is answered 502 (Bad Gateway).
    ///
    /// RFC 9110 section 15.6.3: "received an invalid response from an inbound server".
    #[must_use]
    pub const fn of_upstream(self) -> Self {
        match self.reason {
            Reason::MemoryExhausted => self,
            reason => Self { status: 502, reason },
        }
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self { status: reason.status(), reason }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $status:literal $name:literal,)+) => {
        /// What was wrong with a message. Each site has its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of its discriminants: `reason as usize` indexes counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The metric label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The status a client is answered with when its request has this fault.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)+
                }
            }
        }
    };
}

reasons! {
    /// LF without CR before it.
    BareLf = 400 "bare_lf",
    /// CR without LF behind it.
    BareCr = 400 "bare_cr",
    /// More empty lines before the request line than are ignored.
    LeadingEmptyLines = 400 "leading_empty_lines",
    /// The head is longer than [`crate::Limits::head_bytes`].
    HeadTooLong = 431 "head_too_long",
    /// More fields than [`crate::Limits::fields`].
    TooManyFields = 431 "too_many_fields",
    /// The request line is longer than [`crate::Limits::request_line`].
    RequestLineTooLong = 414 "request_line_too_long",
    /// The request line has not exactly three parts with one space between them.
    RequestLine = 400 "request_line",
    /// The method is not a token.
    Method = 400 "method",
    /// The method is longer than any that exists.
    MethodTooLong = 501 "method_too_long",
    /// CONNECT: Levee is a gateway, not a forward proxy.
    MethodConnect = 501 "method_connect",
    /// TRACE: it would show a client's script the fields that the proxy and the browser add.
    MethodTrace = 501 "method_trace",
    /// A byte that no request target has, or none of its forms.
    Target = 400 "target",
    /// An absolute-form target of another scheme than http and https.
    TargetScheme = 400 "target_scheme",
    /// An absolute-form target whose authority is no host and port.
    TargetAuthority = 400 "target_authority",
    /// An asterisk-form target with another method than OPTIONS.
    TargetAsterisk = 400 "target_asterisk",
    /// Not `HTTP/` digit `.` digit.
    VersionSyntax = 400 "version_syntax",
    /// A version other than 1.0 and 1.1.
    VersionUnsupported = 505 "version_unsupported",
    /// The preface of HTTP/2 on a connection that speaks HTTP/1.1.
    Http2Preface = 505 "http2_preface",
    /// A field line continues on the next one (obs-fold).
    LineFolding = 400 "line_folding",
    /// White space between a field name and its colon.
    SpaceBeforeColon = 400 "space_before_colon",
    /// A field line that starts with its colon.
    FieldNameEmpty = 400 "field_name_empty",
    /// A field line without a colon.
    FieldWithoutColon = 400 "field_without_colon",
    /// A byte in a field name that is no tchar.
    FieldName = 400 "field_name",
    /// A control character in a field value.
    FieldValue = 400 "field_value",
    /// Bytes behind the end of the head, or no end: the caller and the parser differ.
    HeadEnd = 400 "head_end",
    /// A status line that is none.
    StatusLine = 502 "status_line",
    /// A status code outside of 100 to 599.
    StatusCode = 502 "status_code",
    /// HTTP/1.1 without Host.
    HostMissing = 400 "host_missing",
    /// More than one Host.
    HostRepeated = 400 "host_repeated",
    /// A Host that is no host and port.
    HostInvalid = 400 "host_invalid",
    /// Connection lists more field names than are looked up.
    ConnectionOptions = 400 "connection_options",
    /// Both Transfer-Encoding and Content-Length.
    BothFramings = 400 "both_framings",
    /// Transfer-Encoding in HTTP/1.0.
    TransferEncodingVersion = 400 "transfer_encoding_version",
    /// A transfer coding that is not implemented, before a final `chunked`.
    TransferCodingUnknown = 501 "transfer_coding_unknown",
    /// A Transfer-Encoding that does not end in `chunked`, names it twice, or is no list.
    TransferEncoding = 400 "transfer_encoding",
    /// More than one Content-Length, or a list, even of equal values.
    ContentLengthRepeated = 400 "content_length_repeated",
    /// A Content-Length that is no decimal number below 2^64.
    ContentLength = 400 "content_length",
    /// An expectation other than `100-continue`.
    Expectation = 417 "expectation",
    /// A 101 (Switching Protocols) that was not asked for.
    SwitchUnasked = 502 "switch_unasked",
    /// A chunk size without digits or with other bytes.
    ChunkSize = 400 "chunk_size",
    /// A chunk size of more digits than 64 bits have.
    ChunkSizeTooLong = 400 "chunk_size_too_long",
    /// A chunk extension that is none.
    ChunkExtension = 400 "chunk_extension",
    /// More bytes of chunk extensions in one message than are ignored.
    ChunkExtensionsTooLong = 400 "chunk_extensions_too_long",
    /// A chunk size line that does not end in CR LF.
    ChunkLineEnd = 400 "chunk_line_end",
    /// Chunk data that is not followed by CR LF.
    ChunkDataEnd = 400 "chunk_data_end",
    /// A trailer line that is no field line.
    Trailer = 400 "trailer",
    /// More bytes of trailers than are ignored.
    TrailersTooLong = 431 "trailers_too_long",
    /// The connection ended inside the content.
    ContentTruncated = 400 "content_truncated",
    /// Packet memory ran out.
    MemoryExhausted = 503 "memory_exhausted",
}
