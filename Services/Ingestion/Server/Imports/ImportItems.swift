import IngestionDomain
import Models

/// Reads the items of a file the way those that are collected are read.
struct ImportItems: Sendable {
    let reading: ItemReading
    let limits: IngestionLimits

    /// What one call of the tracking API would have brought.
    func delivery(
        _ items: [ImportBatch.Item], of source: KnownSource, at now: Instant
    ) -> EventWriter.Delivery {
        let envelope = EventParser.Envelope(sourceID: source.id, receivedAt: now)
        return EventWriter.Delivery(
            sourceID: source.id, receivedAt: now, traceparent: nil,
            items: items.map { item in
                reading.item(item.bytes[...], of: source, envelope, parser(of: item, source.id))
            })
    }

    /// An item without an id and a time is another one in another line, and the same when the file is sent again.
    private func parser(of item: ImportBatch.Item, _ source: SourceID) -> EventParser {
        EventParser(limits: limits) { _ in
            UUIDv7.derived(
                at: Instant(milliseconds: 0), from: source.description, "line \(item.line)",
                String(decoding: item.bytes, as: UTF8.self))
        }
    }
}
