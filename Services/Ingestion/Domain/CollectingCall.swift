package import Models

/// One of the calls of the tracking API.
package enum CollectingCall: Hashable, Sendable {
    /// One item, whose kind the path says.
    case single(TrackingEvent.Kind)
    /// Items of any kind under `batch`.
    case batch
    /// The same, of history: larger pieces.
    case importing

    /// Every call with the last part of its path. Browsers send to the one-letter forms.
    package static let all: [(name: String, call: CollectingCall)] =
        TrackingEvent.Kind.allCases.map { ($0.rawValue, .single($0)) }
        + TrackingEvent.Kind.allCases.map { (String($0.rawValue.prefix(1)), .single($0)) }
        + [("batch", .batch), ("b", .batch), ("import", .importing)]
}

/// The body of a call, taken apart as far as it concerns all items together.
package struct Submission: Sendable {
    /// The write key, where the sender has put it into the body.
    package var writeKey: String?
    /// When the batch was sent by the sender's clock; nil also where it is no time.
    package var sentAt: Instant?
    /// What holds for each item that doesn't say otherwise.
    package var context: [String: JSON]
    /// The text of each item. Their syntax is right; nothing else is known about them.
    package var items: [ArraySlice<UInt8>]
    /// The kind of the items; nil where each says its own.
    package var kind: TrackingEvent.Kind?

    /// Why a body as a whole cannot be taken. Nothing of it is kept.
    package enum Problem: Error, Hashable, Sendable {
        case notJSON(JSONError)
        case noBatch
        case tooManyItems(limit: Int)
    }

    /// Takes a body apart. A mistake inside an item is left for the item's own verdict.
    package init(
        body: ArraySlice<UInt8>, call: CollectingCall, limits: IngestionLimits
    ) throws(Problem) {
        // Of members with the same name the last counts.
        let members = Dictionary(try Self.syntax { () throws(JSONError) in try JSONParser.members(of: body) })
        {
            $1
        }
        func value(_ name: String) -> JSON? {
            // A member that cannot be read is as good as absent here: it must not cost the items.
            members[name].flatMap { try? JSONParser.parse($0, limits: .init(maxDepth: limits.depth)) }
        }
        writeKey = value("writeKey")?.string
        sentAt = value("sentAt")?.string.flatMap(Instant.init(rfc3339:))
        switch call {
        case .single(let kind):
            self.kind = kind
            context = [:]
            items = [body]
        case .batch, .importing:
            context = value("context")?.object ?? [:]
            guard let batch = members["batch"], batch.first == UInt8(ascii: "[") else { throw .noBatch }
            items = try Self.syntax { () throws(JSONError) in try JSONParser.elements(of: batch) }
        }
        guard items.count <= limits.batchItems else { throw .tooManyItems(limit: limits.batchItems) }
    }

    private static func syntax<T>(_ read: () throws(JSONError) -> T) throws(Problem) -> T {
        do { return try read() } catch { throw .notJSON(error) }
    }
}
