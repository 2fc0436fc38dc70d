/// How much is taken at once.
package struct IngestionLimits: Hashable, Sendable {
    /// Bytes of a request's body.
    package var bodyBytes = 4 << 20
    /// Bytes of one item.
    package var itemBytes = 512 << 10
    /// Items of a batch.
    package var batchItems = 2500
    /// How deep the values of an item may nest.
    package var depth = 64
    /// Bytes of an identifier (messageId, userId, anonymousId, previousId, groupId).
    package var identifierBytes = 256
    /// Bytes of the name of an event, page or screen.
    package var nameBytes = 1024

    package init() {}
}
