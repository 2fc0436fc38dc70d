import IngestionDomain
import Models
import Testing

@Suite("XML")
struct XMLTests {
    private func kind(_ text: String, _ limits: XMLLimits = XMLLimits()) -> XMLError.Kind? {
        do throws(XMLError) {
            _ = try XMLReader.parse(Array(text.utf8), limits: limits)
            return nil
        } catch {
            return error.kind
        }
    }

    @Test("elements, attributes, text, CDATA, references and namespaces are read")
    func read() throws {
        let text =
            "\u{FEFF}<?xml version='1.0' encoding=\"UTF-8\" ?><!-- hi --><a xmlns=\"u\" xmlns:p=\"v\" k=\"1 &lt; 2\">"
            + "x<p:b p:k='&#65;'/><![CDATA[<&]]>&#x20AC;</a>\n"
        let root = try XMLReader.parse(Array(text.utf8))
        #expect(root.name == "a" && root.namespace == "u" && root.text == "x<&€")
        #expect(root.attribute("k") == "1 < 2")
        #expect(root.child("b")?.namespace == "v" && root.child("b")?.attribute("k", of: "v") == "A")
    }

    @Test(
        "document types, entities and processing instructions are refused",
        arguments: [
            #"<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>"#,
            #"<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]><lolz>&lol2;</lolz>"#,
            #"<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://evil.example/x.dtd"><a/>"#,
            "<a>&nbsp;</a>", "<a>&xxe;</a>", "<a><?php x ?></a>", "<a><!ELEMENT b></a>", "<a>&#0;</a>",
            "<a>&#xD800;</a>",
            "<a>&#+65;</a>",
        ])
    func forbidden(_ text: String) {
        #expect(kind(text) == .forbidden)
    }

    @Test(
        "what is not well-formed is refused",
        arguments: [
            "", "   ", "<", "<a", "<a>", "</a>", "<a></b>", "<a/><b/>", "<a>x</a>y", "text", "<a k=1/>",
            "<a k='1' k='2'/>",
            "<a k='<'/>", "<a k='1'l='2'/>", "<p:a/>", "<1a/>", "<a>&amp</a>", "<a>& b</a>", "<!-- <a/>",
            "<a><![CDATA[</a>",
            "<a:b:c/>", "<a><b></a></b>", "<?xml version='1.0'", "<a / >",
        ])
    func malformed(_ text: String) {
        #expect(kind(text) == .syntax)
    }

    @Test("other encodings and control characters are refused")
    func characters() {
        #expect(kind("<a>\u{1}</a>") == .characters)
        #expect(kind("<?xml version='1.0' encoding='UTF-16'?><a/>") == .characters)
        #expect(throws: XMLError.self) {
            try XMLReader.parse([0x3C, 0x61, 0x3E, 0xFF, 0x3C, 0x2F, 0x61, 0x3E])
        }
    }

    @Test("depth, size and numbers are bounded")
    func bounds() {
        let deep = String(repeating: "<a>", count: 100_000)
        #expect(kind(deep) == .tooLarge)
        var limits = XMLLimits()
        limits.elements = 10
        #expect(kind("<a>" + String(repeating: "<b/>", count: 10) + "</a>", limits) == .tooLarge)
        limits.bytes = 10
        #expect(kind("<a>01234567</a>", limits) == .tooLarge)
        limits = XMLLimits()
        limits.attributes = 2
        #expect(kind("<a b='1' c='2' d='3'/>", limits) == .tooLarge)
    }

    @Test(
        "a message that isn't Salesforce's is refused",
        arguments: [
            "<a/>", "<Envelope><Body><notifications/></Body></Envelope>",
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><notifications "
                + "xmlns='http://soap.sforce.com/2005/09/outbound'><OrganizationId>1</OrganizationId></notifications>"
                + "</s:Body></s:Envelope>",
        ])
    func foreign(_ text: String) {
        #expect(throws: WebhookProblem.self) { try SalesforceMessage(Array(text.utf8)) }
    }

    @Test("the acknowledgement is what Salesforce waits for")
    func acknowledgement() throws {
        let root = try XMLReader.parse(SalesforceMessage.acknowledgement)
        #expect(root.namespace == "http://schemas.xmlsoap.org/soap/envelope/")
        let response = root.child("Body")?.child("notificationsResponse")
        #expect(response?.namespace == "http://soap.sforce.com/2005/09/outbound")
        #expect(response?.child("Ack")?.text == "true")
        #expect(
            try XMLReader.parse(SalesforceMessage.refusal).child("Body")?.child("notificationsResponse")?
                .child("Ack")?.text == "false")
    }
}
