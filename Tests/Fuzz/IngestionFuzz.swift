import IngestionDomain
import Models

/// Feeds bytes to the parser, to the batch reader and to the item reader, and holds each to what it promises.
///
/// Built and run by scripts/fuzz.sh with libFuzzer and AddressSanitizer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: bytes, count: count))
    fuzzParser(input)
    fuzzSubmission(input)
    fuzzItem(input)
    return 0
}

/// What is parsed is written and parsed again to the same.
private func fuzzParser(_ input: [UInt8]) {
    guard let json = try? JSONParser.parse(input[...]) else { return }
    let again = try? JSONParser.parse(Array(json.compact.utf8)[...])
    precondition(again == json, "what was written does not read as what it was")
}

/// A body that is taken apart has items that are JSON each.
private func fuzzSubmission(_ input: [UInt8]) {
    let limits = IngestionLimits()
    guard let submission = try? Submission(body: input[...], call: .batch, limits: limits) else { return }
    precondition(submission.items.count <= limits.batchItems)
    for item in submission.items {
        do {
            _ = try JSONParser.parse(item)
        } catch {
            precondition(error.kind != .syntax && error.kind != .trailingContent, "an item is no JSON")
        }
    }
}

/// An item becomes an event that its own stored form reads back, or it is refused; between two good ones it costs them
/// nothing; and mending makes no text worse.
private func fuzzItem(_ input: [UInt8]) {
    let received = Instant(milliseconds: 1_795_000_000_000)
    let envelope = EventParser.Envelope(
        sourceID: SourceID(UUIDv7.derived(at: received, from: "source")), receivedAt: received)
    let parser = EventParser(limits: IngestionLimits())
    _ = parser.hints(of: input[...])
    if let plain = parser.plain(input[...], in: envelope) {
        guard let event = try? parser.parse(input[...], in: envelope) else {
            preconditionFailure("an item was taken over that the parser refuses")
        }
        precondition(
            (try? JSONParser.parse(plain.text)) == event.json, "what was taken over is another event")
        precondition(plain.messageID == event.messageID && plain.subjectKey == event.subjectKey)
    }
    let mended = StorableText.mend(input)
    if (try? JSONParser.parse(input[...])) != nil {
        precondition((try? JSONParser.parse(mended[...])) != nil, "mending broke a good text")
    }
    guard let event = try? parser.parse(input[...], in: envelope) else { return }
    precondition(event.timestamp <= received && event.timestamp >= Instant(milliseconds: 0))
    precondition((try? TrackingEvent(json: event.json)) == event, "an event is not what was stored of it")
    let translated = EventVocabulary.translate(event)
    precondition(EventVocabulary.translate(translated) == translated, "the vocabulary is not settled")
}
