/// Reads the XML that SOAP is written in (XML 1.0, fifth edition, with Namespaces 1.0): elements, attributes, text,
/// CDATA and comments, in UTF-8. SOAP 1.1 (section 3) forbids document types and processing instructions, so they are
/// refused here; without them there is nothing to expand and nothing to fetch. Nesting is kept on a stack of our own,
/// which a hostile document cannot exhaust.
package struct XMLReader {
    private var scanner: XMLScanner
    private let limits: XMLLimits
    private var open: [Open] = []
    private var root: XMLElement?
    private var count = 0

    /// An element whose end is still to come.
    private struct Open {
        var element: XMLElement
        /// The name with its prefix, which the end must repeat.
        var written: String
        /// What prefixes stand for from here on.
        var namespaces: [String: String]
    }

    /// The root of a document.
    package static func parse(_ bytes: [UInt8], limits: XMLLimits = XMLLimits()) throws(XMLError)
        -> XMLElement
    {
        guard bytes.count <= limits.bytes else {
            throw XMLError(.tooLarge, at: limits.bytes, "the document is larger than \(limits.bytes) bytes")
        }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw XMLError(.characters, at: 0, "the document is not UTF-8")
        }
        var reader = XMLReader(scanner: XMLScanner(bytes), limits: limits)
        return try reader.document()
    }

    private init(scanner: XMLScanner, limits: XMLLimits) {
        self.scanner = scanner
        self.limits = limits
    }

    private mutating func document() throws(XMLError) -> XMLElement {
        try scanner.skipProlog()
        while !scanner.isAtEnd {
            if scanner.take("<!--") {
                _ = try scanner.text(upTo: "-->", what: "a comment")
            } else if scanner.take("<![CDATA[") {
                try append(try scanner.text(upTo: "]]>", what: "a CDATA section"), isData: true)
            } else if scanner.starts(with: "<!") {
                throw scanner.error(.forbidden, "a document type or entity, which a message must not have")
            } else if scanner.starts(with: "<?") {
                throw scanner.error(.forbidden, "a processing instruction, which a message must not have")
            } else if scanner.take("</") {
                try end()
            } else if scanner.take("<") {
                try start()
            } else {
                try append(try scanner.characters(), isData: false)
            }
        }
        guard open.isEmpty, let root else { throw scanner.error(.syntax, "the document ends too early") }
        return root
    }

    private mutating func append(_ text: String, isData: Bool) throws(XMLError) {
        guard let last = open.indices.last else {
            if isData || !text.allSatisfy(\.isWhitespace) {
                throw scanner.error(.syntax, "text outside of the root element")
            }
            return
        }
        open[last].element.text += text
    }

    private mutating func end() throws(XMLError) {
        let name = try scanner.name()
        scanner.skipSpace()
        guard scanner.take(">") else { throw scanner.error(.syntax, "expected '>'") }
        guard let closed = open.popLast(), closed.written == name else {
            throw scanner.error(.syntax, "the end of an element that is not open")
        }
        close(closed.element)
    }

    private mutating func close(_ element: XMLElement) {
        if let last = open.indices.last {
            open[last].element.children.append(element)
        } else {
            root = element
        }
    }

    private mutating func start() throws(XMLError) {
        let name = try scanner.name()
        let written = try scanner.attributes(limit: limits.attributes)
        let isEmpty = scanner.take("/")
        guard scanner.take(">") else { throw scanner.error(.syntax, "expected '>'") }
        guard root == nil else { throw scanner.error(.syntax, "a second root element") }
        count += 1
        guard count <= limits.elements else {
            throw scanner.error(.tooLarge, "more than \(limits.elements) elements")
        }
        guard open.count < limits.depth else {
            throw scanner.error(.tooLarge, "elements nested deeper than \(limits.depth)")
        }
        let namespaces = try declared(in: written)
        let element = try element(name, written, namespaces)
        if isEmpty {
            close(element)
        } else {
            open.append(Open(element: element, written: name, namespaces: namespaces))
        }
    }

    /// What prefixes stand for inside of an element with these attributes; the default one is the empty prefix.
    private func declared(
        in attributes: [(name: String, value: String)]
    ) throws(XMLError) -> [String: String] {
        var namespaces = open.last?.namespaces ?? ["xml": "http://www.w3.org/XML/1998/namespace"]
        for (name, value) in attributes {
            if name == "xmlns" { namespaces[""] = value }
            if name.hasPrefix("xmlns:") { namespaces[String(name.dropFirst("xmlns:".count))] = value }
        }
        return namespaces
    }

    private func element(
        _ written: String, _ attributes: [(name: String, value: String)], _ namespaces: [String: String]
    ) throws(XMLError) -> XMLElement {
        let (name, namespace) = try resolve(written, namespaces, isAttribute: false)
        var element = XMLElement(name: name, namespace: namespace)
        for (written, value) in attributes where written != "xmlns" && !written.hasPrefix("xmlns:") {
            let (name, namespace) = try resolve(written, namespaces, isAttribute: true)
            guard element.attribute(name, of: namespace) == nil else {
                throw scanner.error(.syntax, "an attribute is given twice")
            }
            element.attributes.append(XMLAttribute(name: name, namespace: namespace, value: value))
        }
        return element
    }

    private func resolve(
        _ written: String, _ namespaces: [String: String], isAttribute: Bool
    ) throws(XMLError) -> (name: String, namespace: String) {
        let parts = written.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, !parts.contains(where: \.isEmpty) else {
            throw scanner.error(.syntax, "a name with more than one prefix")
        }
        guard parts.count == 2 else {
            // The default namespace is of elements alone.
            return (written, isAttribute ? "" : namespaces[""] ?? "")
        }
        guard let namespace = namespaces[String(parts[0])] else {
            throw scanner.error(.syntax, "a prefix that is not declared")
        }
        return (String(parts[1]), namespace)
    }
}
