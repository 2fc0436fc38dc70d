/// How much is taken at once. The defaults are those of Segment's HTTP API.
package struct IngestionLimits: Hashable, Sendable {
    /// Bytes of a request's body, after its content coding is taken off.
    package var bodyBytes = 500 << 10
    /// Bytes of one item.
    package var itemBytes = 32 << 10
    /// Items of a batch.
    package var batchItems = 2500
    /// How deep the values of an item may nest.
    package var depth = 64
    /// Bytes of an identifier (messageId, userId, anonymousId, previousId, groupId).
    package var identifierBytes = 256
    /// Bytes of the name of an event, page or screen.
    package var nameBytes = 1024

    package init() {}

    /// What `/v1/import` takes: history comes in bigger pieces, an order with hundreds of lines for one.
    package static let importing: IngestionLimits = {
        var limits = IngestionLimits()
        limits.bodyBytes = 4 << 20
        limits.itemBytes = 512 << 10
        return limits
    }()
}
