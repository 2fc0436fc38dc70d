import Foundation
import IngestionDomain
import Models

/// Reads items from whatever way they came into what is to be written.
struct ItemReading: Sendable {
    let preparation: EventPreparation
    let rules: EventRules

    /// Reads one item, and prepares it for the log.
    func item(
        _ item: ArraySlice<UInt8>, of source: KnownSource, _ envelope: EventParser.Envelope,
        _ parser: EventParser
    ) -> EventWriter.Item {
        if let plain = plain(item, of: source, envelope, parser) { return .event(plain) }
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
        guard source.id != SourceStore.installation else { return .event(ReadyEvent(event)) }
        switch preparation.prepare(event, of: source) {
        case .accept(let event):
            var ready = ReadyEvent(event)
            ready.question = rules.question(about: ready.rule, EventQuestion(event))
            return .event(ready)
        case .quarantine(let event, let refusal):
            return .quarantined(QuarantinedItem(refusal: refusal, event: event, envelope: envelope))
        }
    }

    /// An event that nothing has to be done about: no plan judges it, and no other name or address is due.
    func plain(
        _ item: ArraySlice<UInt8>, of source: KnownSource, _ envelope: EventParser.Envelope,
        _ parser: EventParser
    ) -> ReadyEvent? {
        guard source.plan == nil, let plain = parser.plain(item, in: envelope) else { return nil }
        if source.id != SourceStore.installation, source.treatment.vocabulary, let name = plain.event,
            !EventVocabulary.leaves(name)
        {
            return nil
        }
        var ready = ReadyEvent(
            key: MessageKey(sourceID: envelope.sourceID, messageID: plain.messageID),
            subject: plain.subjectKey,
            receivedAt: envelope.receivedAt,
            rule: EventStorageDecision.name(of: plain.kind, plain.event), text: plain.text)
        ready.question = rules.question(about: ready.rule, EventQuestion(plain))
        return ready
    }

    /// A single call's body is its item, and may hold the write key, which is kept nowhere.
    private static func withoutWriteKey(_ item: [UInt8]) -> [UInt8] {
        let item = WriteKey.blanked(in: item)
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
