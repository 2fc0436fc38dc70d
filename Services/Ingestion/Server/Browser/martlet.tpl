___TERMS_OF_SERVICE___

By creating or modifying this file you agree to Google Tag Manager's Community
Template Gallery Developer Terms of Service available at
https://developers.google.com/tag-manager/gallery-tos (or such other URL as
Google may provide), as modified from time to time.


___INFO___

{
  "type": "TAG",
  "id": "cvt_temp_public_id",
  "version": 1,
  "securityGroups": [],
  "displayName": "Martlet",
  "categories": ["ANALYTICS", "MARKETING", "PERSONALIZATION"],
  "brand": {
    "id": "brand_dummy",
    "displayName": "Martlet"
  },
  "description": "Collects what visitors do for your own Martlet installation: page views, clicks, scroll depth, time on page, forms and carts, under the visitor's consent.",
  "containerContexts": ["WEB"]
}


___TEMPLATE_PARAMETERS___

[
  {
    "type": "TEXT",
    "name": "host",
    "displayName": "Host",
    "simpleValueType": true,
    "help": "Where your Martlet ingestion answers, such as https://collect.example.com. The tag loads /v1/martlet.js from there.",
    "valueHint": "https://collect.example.com",
    "valueValidators": [
      {
        "type": "NON_EMPTY"
      },
      {
        "type": "REGEX",
        "args": ["^https://[^/?#]+/?$"],
        "errorMessage": "An https origin without a path, such as https://collect.example.com"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "writeKey",
    "displayName": "Write key",
    "simpleValueType": true,
    "help": "The write key of the source. It is public: it can append events, and read nothing.",
    "valueValidators": [
      {
        "type": "NON_EMPTY"
      }
    ]
  },
  {
    "type": "SELECT",
    "name": "consent",
    "displayName": "Consent",
    "macrosInSelect": false,
    "simpleValueType": true,
    "defaultValue": "required",
    "selectItems": [
      {
        "value": "required",
        "displayValue": "Required: the site calls martlet.consent(…)"
      },
      {
        "value": "consent-mode",
        "displayValue": "Required: follow Google's consent mode"
      },
      {
        "value": "not-required",
        "displayValue": "Not required"
      }
    ],
    "help": "While consent is required and not given, nothing is stored and nothing is sent. In consent mode analytics_storage counts as consent to analytics, and ad_storage as consent to marketing."
  },
  {
    "type": "SELECT",
    "name": "beforeConsent",
    "displayName": "What happened before consent",
    "macrosInSelect": false,
    "simpleValueType": true,
    "defaultValue": "drop",
    "selectItems": [
      {
        "value": "drop",
        "displayValue": "Drop it"
      },
      {
        "value": "keep",
        "displayValue": "Keep it in memory, and send it once the visitor agrees"
      }
    ]
  }
]


___SANDBOXED_JS_FOR_WEB_TEMPLATE___

const addConsentListener = require('addConsentListener');
const createQueue = require('createQueue');
const injectScript = require('injectScript');
const isConsentGranted = require('isConsentGranted');

const host = data.host.charAt(data.host.length - 1) === '/' ? data.host.slice(0, -1) : data.host;
const followsConsentMode = data.consent === 'consent-mode';

// Calls wait in window.martlet until the file is there, and go to it from then on.
const call = createQueue('martlet');

call(['init', {
  writeKey: data.writeKey,
  host: host,
  consent: data.consent === 'not-required' ? 'not-required' : 'required',
  beforeConsent: data.beforeConsent
}]);

if (followsConsentMode) {
  // What holds at the start may be a default of the site, which must not overrule Global Privacy Control.
  // A default that denies is no answer of the visitor's either, and is not passed on.
  if (isConsentGranted('analytics_storage')) {
    call(['consent', {analytics: true, marketing: isConsentGranted('ad_storage')}, {explicit: false}]);
  }
  const changed = () => {
    call(['consent', {
      analytics: isConsentGranted('analytics_storage'),
      marketing: isConsentGranted('ad_storage')
    }]);
  };
  addConsentListener('analytics_storage', changed);
  addConsentListener('ad_storage', changed);
}

injectScript(host + '/v1/martlet.js', data.gtmOnSuccess, data.gtmOnFailure, 'martlet');


___WEB_PERMISSIONS___

[
  {
    "instance": {
      "key": {
        "publicId": "access_globals",
        "versionId": "1"
      },
      "param": [
        {
          "key": "keys",
          "value": {
            "type": 2,
            "listItem": [
              {
                "type": 3,
                "mapKey": [
                  { "type": 1, "string": "key" },
                  { "type": 1, "string": "read" },
                  { "type": 1, "string": "write" },
                  { "type": 1, "string": "execute" }
                ],
                "mapValue": [
                  { "type": 1, "string": "martlet" },
                  { "type": 8, "boolean": true },
                  { "type": 8, "boolean": true },
                  { "type": 8, "boolean": false }
                ]
              }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {
      "isEditedByUser": true
    },
    "isRequired": true
  },
  {
    "instance": {
      "key": {
        "publicId": "inject_script",
        "versionId": "1"
      },
      "param": [
        {
          "key": "urls",
          "value": {
            "type": 2,
            "listItem": [
              { "type": 1, "string": "https://*/v1/martlet.js" }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {
      "isEditedByUser": true
    },
    "isRequired": true
  },
  {
    "instance": {
      "key": {
        "publicId": "access_consent",
        "versionId": "1"
      },
      "param": [
        {
          "key": "consentTypes",
          "value": {
            "type": 2,
            "listItem": [
              {
                "type": 3,
                "mapKey": [
                  { "type": 1, "string": "consentType" },
                  { "type": 1, "string": "read" },
                  { "type": 1, "string": "write" }
                ],
                "mapValue": [
                  { "type": 1, "string": "analytics_storage" },
                  { "type": 8, "boolean": true },
                  { "type": 8, "boolean": false }
                ]
              },
              {
                "type": 3,
                "mapKey": [
                  { "type": 1, "string": "consentType" },
                  { "type": 1, "string": "read" },
                  { "type": 1, "string": "write" }
                ],
                "mapValue": [
                  { "type": 1, "string": "ad_storage" },
                  { "type": 8, "boolean": true },
                  { "type": 8, "boolean": false }
                ]
              }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {
      "isEditedByUser": true
    },
    "isRequired": true
  }
]


___TESTS___

scenarios:
- name: loads the file from the host and configures it
  code: |-
    mock('injectScript', (url, onSuccess) => {
      assertThat(url).isEqualTo('https://collect.example.com/v1/martlet.js');
      onSuccess();
    });
    let calls = [];
    mock('createQueue', (name) => {
      assertThat(name).isEqualTo('martlet');
      return (call) => calls.push(call);
    });
    runCode({host: 'https://collect.example.com/', writeKey: 'wk', consent: 'required', beforeConsent: 'drop'});
    assertThat(calls).isEqualTo([['init', {
      writeKey: 'wk', host: 'https://collect.example.com', consent: 'required', beforeConsent: 'drop'}]]);
    assertApi('gtmOnSuccess').wasCalled();
- name: passes on what consent mode says
  code: |-
    mock('injectScript', (url, onSuccess) => onSuccess());
    let calls = [];
    mock('createQueue', () => (call) => calls.push(call));
    mock('isConsentGranted', (type) => type === 'analytics_storage');
    mock('addConsentListener', () => {});
    runCode({host: 'https://collect.example.com', writeKey: 'wk', consent: 'consent-mode', beforeConsent: 'drop'});
    assertThat(calls[1]).isEqualTo(['consent', {analytics: true, marketing: false}, {explicit: false}]);
    assertApi('gtmOnSuccess').wasCalled();


___NOTES___

Loads the browser snippet of a Martlet installation. Documentation: Browser/README.md in Martlet's repository.
