/// One event of `text/event-stream` (WHATWG HTML, section 9.2).
package struct ServerSentEvent: Hashable, Sendable {
    /// Where a client that comes back goes on from.
    package var id: String?
    package var event: String
    package var data: String

    package init(id: String? = nil, event: String, data: String) {
        self.id = id
        self.event = event
        self.data = data
    }

    /// As it goes over the wire. `id` and `event` must hold no line breaks; `data` may.
    package var bytes: [UInt8] {
        var text = ""
        if let id { text += "id: \(id)\n" }
        text += "event: \(event)\n"
        for line in data.split(separator: "\n", omittingEmptySubsequences: false) {
            text += "data: \(line)\n"
        }
        return Array((text + "\n").utf8)
    }

    /// A line that clients pass over; it keeps a connection from looking dead.
    package static func comment(_ text: String) -> [UInt8] { Array(": \(text)\n\n".utf8) }
}

/// Takes events out of the bytes of a stream, in whatever pieces they come.
package struct ServerSentEventReader: Sendable {
    private var rest: [UInt8] = []
    private var open = ServerSentEvent(event: "", data: "")
    private var hasData = false
    private let longestLine: Int

    /// Of a line that is longer, what is over is left out: nothing grows without end.
    package init(longestLine: Int = 1 << 20) {
        self.longestLine = longestLine
    }

    /// The events that are complete with these bytes.
    package mutating func events(in bytes: some Sequence<UInt8>) -> [ServerSentEvent] {
        var complete: [ServerSentEvent] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                if rest.last == UInt8(ascii: "\r") { rest.removeLast() }
                if let event = take(String(decoding: rest, as: UTF8.self)) { complete.append(event) }
                rest.removeAll(keepingCapacity: true)
            } else if rest.count < longestLine {
                rest.append(byte)
            }
        }
        return complete
    }

    private mutating func take(_ line: String) -> ServerSentEvent? {
        guard !line.isEmpty else {
            defer { (open, hasData) = (ServerSentEvent(event: "", data: ""), false) }
            guard hasData else { return nil }
            if open.event.isEmpty { open.event = "message" }
            return open
        }
        let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        var value = parts.count > 1 ? parts[1] : ""
        if value.first == " " { value.removeFirst() }
        switch parts[0] {
        case "id": open.id = String(value)
        case "event": open.event = String(value)
        case "data":
            open.data += hasData ? "\n\(value)" : String(value)
            hasData = true
        // Comments begin with the colon; the rest is for browsers.
        default: break
        }
        return nil
    }
}
