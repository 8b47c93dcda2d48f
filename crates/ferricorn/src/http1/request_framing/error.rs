//! Why the server refuses a request of HTTP/1.

/// Why the server refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FramingError {
    /// A line ends with a line feed alone.
    BareLineFeed,
    /// A line continues the line before (obsolete folding).
    FoldedLine,
    /// More than one `content-length`.
    RepeatedContentLength,
    /// A `content-length` that is not a number, or does not fit into 63 bits.
    MalformedContentLength,
    /// More than one `host`.
    RepeatedHost,
    /// Both a `content-length` and a `transfer-encoding`.
    ContentLengthAndTransferEncoding,
    /// A `transfer-encoding` in HTTP/1.0.
    TransferEncodingInHttp10,
    /// A request line without its three parts, or with a byte that they must not have.
    MalformedRequestLine,
    /// A version of HTTP other than 1.
    UnsupportedVersion,
    /// A method without an end.
    MethodTooLong,
    /// A target that makes the request line too long.
    TargetTooLong,
    /// A header without a colon, or with a byte that it must not have.
    MalformedHeader,
    /// The size of a chunk is not a hexadecimal number, its extensions are malformed, or its data
    /// does not end after that size.
    MalformedChunk,
    /// A line of the headers or of a chunk is longer than a whole head may be.
    TooLong,
    /// hyper gave the server a request that [`RequestFraming`] did not see. They disagree, so the
    /// server can trust neither.
    OutOfStep,
}

impl FramingError {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BareLineFeed => "a line ends with a bare line feed",
            Self::FoldedLine => "a header is folded over two lines",
            Self::RepeatedContentLength => "content-length is repeated",
            Self::MalformedContentLength => "content-length is not a number, or too large",
            Self::RepeatedHost => "more than one host",
            Self::ContentLengthAndTransferEncoding => "both content-length and transfer-encoding",
            Self::TransferEncodingInHttp10 => "transfer-encoding in HTTP/1.0",
            Self::MalformedRequestLine => "the request line is malformed",
            Self::UnsupportedVersion => "a version of HTTP other than 1",
            Self::MethodTooLong => "the method is too long",
            Self::TargetTooLong => "the request line is too long",
            Self::MalformedHeader => "a header is malformed",
            Self::MalformedChunk => "a chunk is malformed",
            Self::TooLong => "a line is too long",
            Self::OutOfStep => "the end of the previous request is unclear",
        }
    }
}
