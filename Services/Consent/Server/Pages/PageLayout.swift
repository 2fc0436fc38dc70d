import ConsentDomain
import Crypto
import Foundation
import HTTPTypes
import ServiceKit

/// What all of people's own pages have in common: no scripts, nothing of anybody else's, nothing that a cache or another
/// site could keep or learn.
enum PageLayout {
    /// Above everything else on a page.
    enum Notice: Sendable {
        /// Something was done.
        case done(String)
        /// Nothing was, and why.
        case failed(String)
    }

    /// A page as an answer. `here` leads, without its query, to this very page, which is what the links to other languages do;
    /// `keeping` is what of the query they take along.
    static func answer(
        _ body: HTML, title: String, in language: PageLanguage, notice: Notice? = nil, here: String?,
        keeping query: String = "",
        languages: [PageLanguage] = PageLanguage.allCases, status: HTTPResponse.Status = .ok
    ) -> ServiceResponse {
        // Who listens to a page hears its title first.
        let heading =
            switch notice {
            case .done(let text), .failed(let text): "\(text.prefix { $0 != "." && $0 != ":" }) – \(title)"
            case nil: title
            }
        let page: HTML = """
            <!DOCTYPE html>
            <html lang="\(language.rawValue)">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="robots" content="noindex, nofollow">
            <meta name="referrer" content="no-referrer">
            <title>\(heading)</title>
            <style>\(HTML(stringLiteral: style))</style>
            </head>
            <body>
            \(here.map { choice(of: languages, language, here: $0, query) })<main>
            <h1>\(title)</h1>
            \(notice.map(render))\(body)</main>
            </body>
            </html>

            """
        return .html(page.text, status: status, headers: headers)
    }

    private static func render(_ notice: Notice) -> HTML {
        switch notice {
        case .done(let text): "<p class=\"notice done\" role=\"status\">\(text)</p>\n"
        case .failed(let text): "<p class=\"notice failed\" role=\"alert\">\(text)</p>\n"
        }
    }

    private static func choice(
        of languages: [PageLanguage], _ current: PageLanguage, here: String, _ query: String
    ) -> HTML {
        let links = languages.map { language -> HTML in
            let name = PageTexts.of(language).name
            let code = language.rawValue
            return language == current
                ? "<li><a href=\"\(here)?lang=\(code)\(query)\" lang=\"\(code)\" hreflang=\"\(code)\" aria-current=\"true\">\(name)</a></li>\n"
                : "<li><a href=\"\(here)?lang=\(code)\(query)\" lang=\"\(code)\" hreflang=\"\(code)\">\(name)</a></li>\n"
        }
        return """
            <header><nav aria-label="\(PageTexts.of(current).languages)"><ul>
            \(links)</ul></nav></header>

            """
    }

    static let headers: HTTPFields = [
        .cacheControl: "no-store", .contentSecurityPolicy: policy, .referrerPolicy: "no-referrer",
        .robots: "noindex, nofollow", .frameOptions: "DENY",
    ]

    /// The style by its hash, and forms that come back here; nothing else.
    private static let policy =
        "default-src 'none'; style-src 'sha256-"
        + Data(SHA256.hash(data: Data(style.utf8))).base64EncodedString()
        + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

    private static let style = """
        *{box-sizing:border-box}
        body{font:1.0625rem/1.6 system-ui,sans-serif;color:#1b1f24;background:#f4f5f7;margin:0;padding:1rem}
        main,header{max-width:44rem;margin:0 auto}
        main{background:#fff;padding:1.5rem 2rem 2rem;border-radius:.75rem;margin-bottom:3rem}
        header ul{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;margin:0;padding:.75rem 0}
        header a{display:inline-block;padding:.25rem}
        header a[aria-current]{font-weight:700;text-decoration:none}
        h1{font-size:1.75rem;line-height:1.25;margin:0 0 1rem}
        h2{font-size:1.25rem;line-height:1.3;margin:0}
        section{border-top:1px solid #d0d5dc;margin-top:2rem;padding-top:1.5rem}
        fieldset{border:1px solid #b6bec9;border-radius:.5rem;margin:1.5rem 0 0;padding:.25rem 1.25rem 1.25rem;min-width:0}
        legend{padding:0 .5rem}
        .hint{color:#4a5261;margin:.25rem 0 1rem}
        .choice{display:grid;grid-template-columns:1.75rem 1fr;gap:0 .5rem;padding:.5rem 0}
        .choice input{width:1.35rem;height:1.35rem;margin:.2rem 0 0}
        .choice label,label[for=email]{font-weight:600}
        input[type=email]{font:inherit;width:100%;max-width:26rem;padding:.5rem .75rem;border:1px solid #6b7280;border-radius:.4rem;
        color:#1b1f24;background:#fff}
        .choice p{grid-column:2;color:#4a5261;margin:.1rem 0 0;font-size:.95rem}
        a{color:#0b4a8f}
        button,.button{display:inline-block;font:inherit;font-weight:600;padding:.65rem 1.4rem;color:#fff;
        background:#14532d;border:2px solid #14532d;border-radius:.5rem;cursor:pointer;text-decoration:none;margin-top:1rem}
        .quiet{color:#14532d;background:#fff}
        .danger{background:#8f1d1d;border-color:#8f1d1d}
        a:focus-visible,button:focus-visible,input:focus-visible{outline:3px solid #b45309;outline-offset:3px}
        .notice{border-left:.4rem solid;padding:.75rem 1rem;border-radius:.25rem;margin:0 0 1.25rem}
        .done{background:#e8f5ec;border-color:#14532d}
        .failed{background:#fdeaea;border-color:#8f1d1d}
        code{font-size:.9em;overflow-wrap:anywhere}
        @media (prefers-color-scheme:dark){
        body{color:#e8eaed;background:#14171b}main{background:#1f2329}
        .hint,.choice p{color:#b9c0cb}a{color:#9cc7ff}section{border-color:#454c57}fieldset{border-color:#5b6472}
        button,.button{background:#86dfa7;border-color:#86dfa7;color:#0c2014}
        .quiet{color:#86dfa7;background:#1f2329}.danger{background:#ffb4ab;border-color:#ffb4ab;color:#410002}
        .done{background:#17351f}.failed{background:#45191a}}
        """
}

extension HTTPField.Name {
    private static func constant(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { preconditionFailure("a token is a name") }
        return name
    }

    static let referrerPolicy = constant("Referrer-Policy")
    static let robots = constant("X-Robots-Tag")
    static let frameOptions = constant("X-Frame-Options")
    /// What proxies say of where a request came from.
    static let forwardedFor = constant("X-Forwarded-For")
}
