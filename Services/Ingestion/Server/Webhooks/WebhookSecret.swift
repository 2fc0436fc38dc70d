/// The secrets that a webhook is verified with: more than one while they are being changed. Never printed.
struct WebhookSecret: Sendable {
    /// The bytes of each, none of them empty.
    let keys: [[UInt8]]

    /// Empty texts are left out: an HMAC with an empty key is one that anybody can make.
    init(_ texts: [String]) {
        keys = texts.map { Array($0.utf8) }.filter { !$0.isEmpty }
    }

    init(_ text: String) { self.init([text]) }
}

extension WebhookSecret: CustomStringConvertible, CustomReflectable {
    var description: String { "(\(keys.count) secrets)" }
    var customMirror: Mirror { Mirror(self, children: []) }
}
