import Foundation
import IngestionDomain
import Models

/// Reads items from whatever way they came into what is to be written.
struct ItemReading: Sendable {
    let preparation: EventPreparation

    /// Reads one item, and prepares it for the log.
    func item(
        _ item: ArraySlice<UInt8>, of source: KnownSource, _ envelope: EventParser.Envelope,
        _ parser: EventParser
    ) -> EventWriter.Item {
        let event: TrackingEvent
        do throws(Refusal) {
            event = try parser.parse(item, in: envelope)
        } catch {
            let hints = parser.hints(of: item)
            guard error.reason.isKept else { return .refused(error, messageID: hints.messageID) }
            return .quarantined(
                QuarantinedItem(
                    refusal: error, hints: hints, item: Self.withoutWriteKey(Array(item)), envelope: envelope)
            )
        }
        // What the installation tells itself follows no plan.
        guard source.id != SourceStore.installation else { return .event(event) }
        switch preparation.prepare(event, of: source) {
        case .accept(let event): return .event(event)
        case .quarantine(let event, let refusal):
            return .quarantined(QuarantinedItem(refusal: refusal, event: event, envelope: envelope))
        }
    }

    /// A single call's body is its item, and may hold the write key, which is kept nowhere.
    private static func withoutWriteKey(_ item: [UInt8]) -> [UInt8] {
        guard let key = try? JSONParser.members(of: item[...]).filter({ $0.key == "writeKey" }), !key.isEmpty
        else { return item }
        var kept = item
        for value in key.map(\.value).reversed() {
            kept.replaceSubrange(
                value.indices, with: #""""#.utf8 + [UInt8](repeating: 0x20, count: max(0, value.count - 2)))
        }
        return kept
    }
}
