/// The W3C trace context that what runs now belongs to: set for a request and for a batch of one trace, sent along
/// with every call to another service and kept with calls in the outbox.
package enum TraceContext {
    /// A valid `traceparent` header, or nil outside any trace.
    @TaskLocal package static var traceparent: String?
}
