/// One request of a webhook, as its sender saw it: what signatures are computed over.
package struct WebhookRequest: Hashable, Sendable {
    /// In upper case.
    package var method: String
    /// The full URI that the sender called, with scheme, host and query: behind a proxy not what the server sees.
    package var uri: String
    /// By names in lower case. A header that came twice holds both values, with `, ` between them.
    package var headers: [String: String]
    /// The bytes before anything has read them; a signature is of these.
    package var body: [UInt8]

    package init(method: String, uri: String, headers: [String: String], body: [UInt8]) {
        self.method = method
        self.uri = uri
        self.headers = headers
        self.body = body
    }

    /// A header's value without white space around it; nil where it is absent or empty.
    package func header(_ name: String) -> String? {
        guard let value = headers[name]?.trimmed, !value.isEmpty else { return nil }
        return value
    }

    /// The type of the body without parameters, in lower case: `application/json`.
    package var mediaType: String {
        let type = (headers["content-type"] ?? "").prefix { $0 != ";" }
        return String(type).trimmed.lowercased()
    }
}

extension String {
    /// Without white space at its ends.
    package var trimmed: String {
        let start = drop(while: \.isWhitespace)
        return String(start.reversed().drop(while: \.isWhitespace).reversed())
    }
}
