/// An element of an XML document: names without prefixes, and text without the white space of the layout.
package struct XMLElement: Hashable, Sendable {
    package var name: String
    /// The URI that the name belongs to; empty for none.
    package var namespace: String
    package var attributes: [XMLAttribute] = []
    package var children: [XMLElement] = []
    /// All text directly inside, as it was written.
    package var text: String = ""

    package init(name: String, namespace: String = "") {
        self.name = name
        self.namespace = namespace
    }

    /// The first child of a name.
    package func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }

    /// All children of a name.
    package func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

    /// The value of an attribute of a namespace.
    package func attribute(_ name: String, of namespace: String = "") -> String? {
        attributes.first { $0.name == name && $0.namespace == namespace }?.value
    }
}

/// An attribute of an element.
package struct XMLAttribute: Hashable, Sendable {
    package var name: String
    package var namespace: String
    package var value: String

    package init(name: String, namespace: String = "", value: String) {
        self.name = name
        self.namespace = namespace
        self.value = value
    }
}

/// Why bytes are no XML that Martlet takes.
package struct XMLError: Error, Hashable, Sendable {
    package enum Kind: String, Sendable {
        /// Not well-formed.
        case syntax
        /// A document type, an entity of its own, or a processing instruction: what attacks are made of.
        case forbidden
        /// Larger, deeper or more of it than the limits.
        case tooLarge
        /// Bytes that aren't UTF-8, or characters that XML doesn't have.
        case characters
    }

    package var kind: Kind
    /// Bytes from the start.
    package var offset: Int
    package var message: String

    package init(_ kind: Kind, at offset: Int, _ message: String) {
        self.kind = kind
        self.offset = offset
        self.message = message
    }
}

extension XMLError: CustomStringConvertible {
    package var description: String { "\(message) at byte \(offset)" }
}

/// What a document may cost.
package struct XMLLimits: Hashable, Sendable {
    package var bytes = 4 << 20
    package var depth = 32
    package var elements = 50_000
    /// Of one element.
    package var attributes = 64

    package init() {}
}
